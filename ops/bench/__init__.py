"""`make bench`: what three peers reach on this machine, beside three members of etcd."""
