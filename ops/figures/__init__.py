"""`make figures`: what three daemons on this machine reach, beside what this stage promises."""
