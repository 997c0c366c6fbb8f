//! Who may call what: one rule a route, and the one place where handlers learn who calls and what he may do.
//!
//! The rules stand beside the routes, in [`Route`]. A handler asks for [`Admitted`] or [`Registrar`] and gets whom that
//! route's rule lets in; a route whose rule lets anyone in has no caller to give.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use ostraka_api::ErrorCode;
use ostraka_core::VoterNumber;

use super::auth::{Authenticator, bearer, cookie};
use super::problem::Problem;
use super::route::Route;
use crate::identity::IdentityService;
use crate::token::{Caller, Role};

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pub shows: Credential,
    pub own: Own,
}

/// What a caller must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    Nothing,
    /// A valid access token of any role, in the header.
    Token,
    /// The same, or in the cookie that login sets: for what a browser's `EventSource` asks for.
    TokenOrCookie,
    /// The token of a user whose account is an operator's, or a registration token.
    OperatorOrRegistration,
}

/// What must be the caller's own besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    Nothing,
    /// The request's `user_id`; else this sentence.
    User(&'static str),
    /// The event, which an operator may steer as well. The log decides: it knows the owner.
    Event,
    /// The vote, of which others are told that there is none.
    Vote,
}

impl Rule {
    pub(super) const fn new(shows: Credential, own: Own) -> Self {
        Self { shows, own }
    }

    /// In words, as docs/security.md has it.
    pub fn in_words(&self) -> (&'static str, &'static str) {
        let shows = match self.shows {
            Credential::Nothing => "anyone",
            Credential::Token => "voter, operator",
            Credential::TokenOrCookie => "voter, operator; also by cookie",
            Credential::OperatorOrRegistration => "operator, registration token",
        };
        let own = match self.own {
            Own::Nothing => "nothing",
            Own::User(_) => "the user named",
            Own::Event => "the event, or operator",
            Own::Vote => "the vote",
        };
        (shows, own)
    }
}

/// Whom a rule let in.
enum Shown {
    Nobody,
    Caller(Caller),
    RegistrationToken(String),
}

/// A caller whom his route's rule let in.
#[derive(Clone, Copy, Debug)]
pub struct Admitted {
    caller: Caller,
    own: Own,
}

/// As whom an event is steered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steering {
    pub by: VoterNumber,
    pub by_operator: bool,
}

impl Admitted {
    pub fn voter(&self) -> VoterNumber {
        self.caller.voter
    }

    /// Refuses what is asked in the name of another user, where the route's rule says so.
    pub fn speaks_for(&self, user: VoterNumber) -> Result<(), Problem> {
        match self.own {
            Own::User(sentence) if user != self.caller.voter => {
                Err(Problem::new(ErrorCode::NotTokenUser, sentence))
            }
            Own::User(_) | Own::Nothing | Own::Event | Own::Vote => Ok(()),
        }
    }

    pub fn steering(&self) -> Steering {
        Steering {
            by: self.caller.voter,
            by_operator: self.caller.role == Role::Operator,
        }
    }

    /// Whether he is held to the limits that people are held to: operators bring whole programmes.
    pub fn is_limited(&self) -> bool {
        self.caller.role != Role::Operator
    }

    /// Canary events count nowhere, so that they are an operator's.
    pub fn creates_canaries(&self) -> Result<(), Problem> {
        if self.caller.role == Role::Operator {
            return Ok(());
        }
        Err(Problem::new(
            ErrorCode::NotPermitted,
            "Only an operator creates canary events.",
        ))
    }
}

/// Whether an account of this role registers others. By the account, whatever its token says.
pub fn may_register(role: Role) -> bool {
    role == Role::Operator
}

/// Who registers somebody: a user, who must be an operator, or whoever has solved a challenge.
pub enum Registrar {
    User(Caller),
    Token(String),
}

impl Authenticator {
    /// Whom the rule of `route` lets in with these headers.
    fn admit(&self, route: Route, headers: &HeaderMap) -> Result<Shown, Problem> {
        let token = match route.rule().shows {
            Credential::Nothing => return Ok(Shown::Nobody),
            Credential::Token => bearer(headers),
            Credential::TokenOrCookie => bearer(headers).or_else(|| cookie(headers)),
            Credential::OperatorOrRegistration => match bearer(headers) {
                Some(token) if IdentityService::is_registration_token(token) => {
                    return Ok(Shown::RegistrationToken(token.to_owned()));
                }
                other => other,
            },
        };
        self.verify(token.ok_or_else(no_token)?).map(Shown::Caller)
    }

    /// The same for one token of the header, where a route takes no other credential.
    pub fn admit_bearer(&self, route: Route, token: &str) -> Result<Admitted, Problem> {
        let Rule { shows, own } = route.rule();
        if shows != Credential::Token {
            return Err(no_caller());
        }
        let caller = self.verify(token)?;
        Ok(Admitted { caller, own })
    }
}

fn no_token() -> Problem {
    Problem::new(
        ErrorCode::Unauthenticated,
        "This needs the header \"Authorization: Bearer <token>\"; login gives a token.",
    )
}

/// A handler asks for what its route's rule cannot give: whoever wrote it must mend the table.
fn no_caller() -> Problem {
    Problem::new(
        ErrorCode::Internal,
        "This route's rule knows no such caller; nothing was done.",
    )
}

impl<S> FromRequestParts<S> for Admitted
where
    Authenticator: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let route = Route::of(parts.uri.path());
        match Authenticator::from_ref(state).admit(route, &parts.headers)? {
            Shown::Caller(caller) => Ok(Self {
                caller,
                own: route.rule().own,
            }),
            Shown::Nobody | Shown::RegistrationToken(_) => Err(no_caller()),
        }
    }
}

impl<S> FromRequestParts<S> for Registrar
where
    Authenticator: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let route = Route::of(parts.uri.path());
        match Authenticator::from_ref(state).admit(route, &parts.headers)? {
            Shown::Caller(caller) => Ok(Self::User(caller)),
            Shown::RegistrationToken(token) => Ok(Self::Token(token)),
            Shown::Nobody => Err(no_caller()),
        }
    }
}

#[cfg(test)]
mod tests;
