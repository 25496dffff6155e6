"""What works on whole runs: ablations, the quickstart, jobs side by side or on a cluster, and assembling reports."""
