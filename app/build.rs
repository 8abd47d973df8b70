//! `sqlx::migrate!` reads the folder when it is compiled; cargo would not see a new file in it.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
