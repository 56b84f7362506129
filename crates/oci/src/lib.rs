//! (oci)
