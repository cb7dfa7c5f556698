"""The grid of a study: from a study file to its trials, one training each.

A study file (JSON, see :mod:`segxfer3d.study.definition`) becomes *trials*. A pretraining trial is shared by all
fine-tunings that start from it: two of them are one where their identity is the same. A fine-tuning trial is one arm on
one data set, with one label budget and one seed.

A study's folder::

    study.json            the study, resolved
    trials.json           the list of its trials
    study.lock            held by the process that runs the study
    pretrain/<name>-<identity>/          a run, as its bundle leaves it, with the trial's own files beside
    finetune/<data>-<arm>-<budget>-s<seed>/

``study.json``::

    format        1
    name          of the study
    description   in words
    study_file    where it was read from
    parameters    name -> value, as given with --set or by default
    arms          name -> {"init", "scenario", "pretrain" (name in "pretrain", or null), "checkpoint" (a file given
                  from outside, or null), "knobs" (of this arm alone)}; in the order of the file, the first one is the
                  reference that others are compared to
    pretrain      name -> {"config", "knobs"}
    finetune      {"config", "knobs"}
    data          name -> {"pretrain": knobs, "finetune": knobs}
    budgets       list of {"name", "value", "knobs"}
    seeds         list of int
    code_version  of the package, as in every trial
    published     what was published for comparison, as the study file has it (or null)

``trials.json`` is a list, pretrainings first, then seed by seed (a study that is stopped has whole comparisons)::

    id            unique, letters, digits and ``-+._``; names the trial on the command line
    kind          "pretrain" or "finetune"
    folder        below the study's folder
    depends       ids of the trials that must be done before
    config        absolute path of the bundle
    knobs         name -> value, all that the study sets (without output_dir and resume)
    identity      16 hex digits: of config, knobs, data, code version and what it depends on
    pretrain      name of the pretraining (kind "pretrain": its own), or null
    arm           name of the arm; null for a pretraining
    data          name of the data set (a pretraining that several share: of the first)
    budget        float: number of labels, or share of them at most 1 (1.0: all); null for a pretraining
    budget_name   "n5", "f0.05" or "all"; null for a pretraining
    seed          int; null for a pretraining

A trial's folder has, beside what the run leaves (``run.json``, ``metrics.jsonl``, ``cases.csv``, ``model.pt``,
``done.json``): ``trial.json`` (its entry of ``trials.json``, with ``code_version``), ``output.txt`` (what the training
printed), ``trial.lock``, and after a failure ``failed.json`` (``{"error", "returncode", "seconds", "time"}``). How a
trial stands is read from these files alone: :func:`segxfer3d.study.states.state_of`.
"""
