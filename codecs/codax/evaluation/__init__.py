"""Systems x metrics: results, plots and report."""
