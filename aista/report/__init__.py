"""Reads run folders; draws curves and transport plans; writes tables and the HTML report. Trains nothing."""
