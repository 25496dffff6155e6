"""Contract tests and dummy components for plug-in authors: by ``aista check``, or as functions."""
