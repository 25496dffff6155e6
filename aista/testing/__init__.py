"""Contract tests and dummies that a plug-in's author runs too: ``aista check``, or the functions themselves."""
