"""From the files that runs left to tables, figures and one page; needs neither torch nor MONAI.

* :mod:`~segxfer3d.report.collect`: ``collect``: a study's folder, or any folder of runs, as plain data
* :mod:`~segxfer3d.report.run_files`: ``Run``, what one run left; :mod:`~segxfer3d.report.scores`: its ``cases.csv``
* :mod:`~segxfer3d.report.arms`: ``Arm``, how runs that no study file names are grouped
* :mod:`~segxfer3d.report.pretexts`: what pretexts are called
* :mod:`~segxfer3d.report.results`: ``Result``, the statistics of one data set at one label budget
  (:mod:`~segxfer3d.report.pairing`: what is paired; :mod:`~segxfer3d.report.curves`: how soon)
* :mod:`~segxfer3d.report.claims`: the paper's claims and what the study answers
  (:mod:`~segxfer3d.report.findings`: the comparisons behind them)
* :mod:`~segxfer3d.report.published`: figures of the paper
* :mod:`~segxfer3d.report.tables`: the tables, as CSV, Markdown and LaTeX
* :mod:`~segxfer3d.report.figures`: the figures, as PDF, SVG and in the page
* :mod:`~segxfer3d.report.viewer`: slices to scroll through
* :mod:`~segxfer3d.report.words`: the answer in a sentence; :mod:`~segxfer3d.report.methods`: a paragraph to paste
* :mod:`~segxfer3d.report.page`: ``write_report``, the page
* :mod:`~segxfer3d.report.results_page`: ``write_results_page``, a section of a page in Markdown

Nothing is imported here: the page needs the extra ``report``, what it is made from does not.
"""
