"""What a run will cost, found without weights, data or a GPU: operations, memory and time."""
