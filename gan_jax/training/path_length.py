"""Path length regularization of a generator (Karras et al. 2020, 1912.04958, sec. 3.2 and app. B).

A step of fixed size in w should change the image by a fixed amount, whatever w and the direction.
"""
