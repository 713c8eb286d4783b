"""Documents of existing systems turned into records: FHIR R4 bundles now."""
