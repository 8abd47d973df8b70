//! The service from outside: the real binary, on a real PostgreSQL, over real sockets. One binary, linked once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod api;
mod auth;
mod bad_configuration;
mod bad_requests;
mod browser;
mod clients;
mod configuration;
mod database;
mod dev;
mod drain;
mod export;
mod frame;
mod lifecycle;
mod migrations;
mod page;
mod probes;
mod redirect;
mod service;
mod startup;
mod statements;
