//! The real `qwdctl` against a launcher of our own making on a private bus.

mod bed;
mod build;
mod check;
mod download;
mod keep;
mod monitor;
mod packed;
mod sessions;
mod site;
mod web;
