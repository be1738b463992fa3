"""One evaluation, seen by the people who decide."""
