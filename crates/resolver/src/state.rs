//! What an answer is made from.

use std::cell::RefCell;
use std::rc::Rc;

use crate::forward::Forwarder;
use crate::names::Names;

#[derive(Debug)]
pub(crate) struct State {
    /// Never borrowed across an await.
    pub(crate) names: RefCell<Names>,
    pub(crate) forwarder: Rc<Forwarder>,
}
