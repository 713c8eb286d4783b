"""Generated protobuf code: run `make proto`, never edit."""
