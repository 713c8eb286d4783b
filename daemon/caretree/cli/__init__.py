"""Human commands; composes the concrete parts."""
