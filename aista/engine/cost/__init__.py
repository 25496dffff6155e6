"""What a run will cost, estimated without weights, data or a GPU: operations, memory and time."""
