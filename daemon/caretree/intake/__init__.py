"""Documents of existing systems turned into records: FHIR R4 bundles now.

Bytes in, records out: nothing here calls, waits or keeps. May import the rooms below it, and of
those needs `model` and `crypto.pseudonym` alone. Start reading at `intake.split`: one bundle of one
patient becomes one record of each Encounter and records of what refers to none. `intake.files`
finds the files of a folder and says, without patient data, what became of each.
"""
