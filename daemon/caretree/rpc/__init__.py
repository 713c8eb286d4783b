"""The gRPC API: authenticate, authorise, check limits, translate errors."""
