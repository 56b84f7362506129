//! How the binary is linked.
//!
//! At a fixed address: a static program that can be loaded anywhere has to write half a megabyte of pointers before its
//! `main`, and each run of the client, and each engine, would pay for that with 0.5 ms and 120 pages of its own.
//!
//! Released without the index of unwinding tables (400 KB): a panic aborts there, nothing unwinds.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The linker's driver takes the last of `-static-pie`, which rustc says, and `-no-pie`; that one takes `-static` along.
    println!("cargo::rustc-link-arg-bins=-no-pie");
    println!("cargo::rustc-link-arg-bins=-static");
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
    }
}
