//! A place for an engine of others: what it has for itself, and who cleans up after it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::keeper::Keeper;
use crate::left::left_over;
use crate::place::Place;

const DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// A directory and a cgroup of one's own. What is started here has to have the directory in its arguments or in its
/// environment, and its containers below the cgroup: then dropping this shows that nothing is left, and a killed test
/// leaves nothing either.
#[derive(Debug)]
pub struct Ground {
    directory: PathBuf,
    keeper: Keeper,
    place: Place,
}

impl Ground {
    /// `directory` is empty, and the caller's to remove.
    ///
    /// # Panics
    /// When there is no free number for a cgroup.
    pub fn claim(directory: &Path) -> Self {
        let directory = directory.canonicalize().expect("find the directory");
        let place = Place::claim();
        Self { keeper: Keeper::watch(&directory, &place), directory, place }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Name of the cgroup that its containers belong in, below each hierarchy: `wharf-test-<n>`.
    pub fn cgroup_parent(&self) -> &str {
        &self.place.cgroup
    }

    /// What there is now of mounts, cgroups and processes that have to do with it.
    pub fn left(&self) -> Vec<String> {
        left_over(&self.directory, &self.place, self.keeper.pid())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let deadline = Instant::now() + DEADLINE;
        let mut left = self.left();
        while !left.is_empty() && Instant::now() < deadline && !std::thread::panicking() {
            std::thread::sleep(PAUSE);
            left = self.left();
        }
        if left.is_empty() {
            self.keeper.dismiss();
            self.place.clear();
            left = self.place.remains();
        } else {
            self.keeper.clean();
        }
        if !std::thread::panicking() {
            assert!(left.is_empty(), "left behind:\n{}", left.join("\n"));
        }
    }
}
