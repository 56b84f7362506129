//! (cgroups)
