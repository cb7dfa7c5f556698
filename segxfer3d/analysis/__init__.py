"""Looking at trained networks: similarity of their features, what they look at, and pictures for reports.

* :mod:`~segxfer3d.analysis.cka`: ``CKA``, ``CKAResult``, ``compare``
* :mod:`~segxfer3d.analysis.features`: ``layer_features``
* :mod:`~segxfer3d.analysis.patches`: ``volume_patches``, images for a comparison
* :mod:`~segxfer3d.analysis.gradcam`: ``grad_cam``, ``ForegroundScore``
* :mod:`~segxfer3d.analysis.galleries`: ``Sample``, ``mask_gallery``, ``reconstruction_gallery``, ``dataset_gallery``
* :mod:`~segxfer3d.analysis.plots`: ``dice_over_steps``, ``cka_heat_map``
* :mod:`~segxfer3d.analysis.panels`: what the galleries are made of
* :mod:`~segxfer3d.analysis.slices`: which slice of a volume is drawn, and which way up
* :mod:`~segxfer3d.analysis.style`: colors, fonts and ``save``

Nothing is imported here: the pictures need matplotlib (the extra ``report``) but no torch, the rest torch but no
matplotlib.
"""
