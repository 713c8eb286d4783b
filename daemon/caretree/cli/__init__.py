"""Human commands; composes the concrete parts. Imports every room, and is imported by none.

Start reading at `main`, which starts the daemon before anything of the command line is loaded, then
`app`, which lists the commands. What a command says of itself stands in `examples`; how it answers
a person or a programme, in `output`. `home` is a member's directory, `certificates` its certificate
authority; `importing` is the engine of the import.
"""
