//! (gotemplate)
