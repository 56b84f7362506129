//! A change to a container, from the door to its task.

use super::Containers;
use crate::container::command::Command;
use crate::container::{UpdateRequest, limits};
use crate::error::Result;

impl Containers {
    /// Answers what the machine cannot do of it, and was left out.
    pub async fn update(&self, reference: &str, mut request: UpdateRequest) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        limits::check_change(&mut request.resources, &self.core.settings().limits, &mut warnings)?;
        let handle = self.core.index.find(reference)?;
        self.ask(&handle, |reply| Command::Update(Box::new(request), reply)).await?;
        Ok(warnings)
    }
}
