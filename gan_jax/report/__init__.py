"""A look at a run: one page that opens from disk, without a network. `gan-jax report`.

collect.py reads run folders, media.py makes what it shows small, page.py writes the page of it with
page.html, page.css and page.js; tensorboard.py writes event files instead.
"""
