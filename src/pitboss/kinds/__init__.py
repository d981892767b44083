"""One slice for each kind of run: declaration, params, preparation, job, report. Slices never import each other."""
