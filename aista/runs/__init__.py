"""Operations on whole runs: ablations, the quickstart, parallel jobs here or on a cluster, and reports."""
