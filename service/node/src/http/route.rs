//! The public routes: path, method, and who may call it. A route that is not here is not served: the services' routers take
//! path and method from this table ([`Serve`]), handlers get their callers by its rules ([`super::access`]).

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, on};

use super::access::{Credential, Own, Rule};

/// With which method a route is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Get,
    Post,
}

/// Makes the enum, the list of its variants and what is fixed for each from one table, so that none can lack a rule.
macro_rules! routes {
    ($($route:ident, $verb:ident, $path:literal, $shows:ident, $own:expr;)+) => {
        /// The routes, each one label of the metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Route {
            $($route,)+
            /// Every path that is none of them, and all of the operator port.
            Other,
        }

        impl Route {
            /// Every route that is served.
            pub const ALL: &'static [Self] = &[$(Self::$route),+];

            /// As metrics and the router call it.
            pub const fn path(self) -> &'static str {
                match self {
                    $(Self::$route => $path,)+
                    Self::Other => "other",
                }
            }

            pub const fn verb(self) -> Verb {
                match self {
                    $(Self::$route => Verb::$verb,)+
                    Self::Other => Verb::Get,
                }
            }

            /// Who may call it. Whoever asks for something that is no route gets no caller for it.
            pub const fn rule(self) -> Rule {
                match self {
                    $(Self::$route => Rule::new(Credential::$shows, $own),)+
                    Self::Other => Rule::new(Credential::Nothing, Own::Nothing),
                }
            }
        }
    };
}

const VOTER: Own = Own::User("A vote can be cast for the token's own user only.");
const OWNER: Own = Own::User("An event can be created for the token's own user only.");

routes! {
    Login, Post, "/v1/auth/login", Nothing, Own::Nothing;
    Challenge, Post, "/v1/auth/challenge", Nothing, Own::Nothing;
    Solve, Post, "/v1/auth/challenge/solve", Nothing, Own::Nothing;
    Logout, Post, "/v1/auth/logout", Token, Own::Nothing;
    Register, Post, "/v1/auth/register", OperatorOrRegistration, Own::Nothing;
    EventCreate, Post, "/v1/event/create", Token, OWNER;
    EventOpen, Post, "/v1/event/{event_id}/open", Token, Own::Event;
    EventClose, Post, "/v1/event/{event_id}/close", Token, Own::Event;
    EventStream, Get, "/v1/event/{event_id}/stream", TokenOrCookie, Own::Nothing;
    Leaderboard, Get, "/v1/event/{event_id}/leaderboard", Token, Own::Nothing;
    Contestants, Get, "/v1/contestants/{event_id}", Token, Own::Nothing;
    VoteSubmit, Post, "/v1/vote/submit", Token, VOTER;
    VoteStatus, Get, "/v1/vote/{vote_id}/status", Token, Own::Vote;
    OpenApi, Get, "/openapi.json", Nothing, Own::Nothing;
}

impl Route {
    pub(super) const COUNT: usize = Self::Other as usize + 1;

    /// Which route a path is: known before routing, without an allocation, and bounded whatever clients ask.
    pub(super) fn of(path: &str) -> Self {
        match path {
            "/v1/vote/submit" => return Self::VoteSubmit,
            "/v1/auth/login" => return Self::Login,
            "/v1/auth/register" => return Self::Register,
            "/v1/auth/logout" => return Self::Logout,
            "/v1/auth/challenge" => return Self::Challenge,
            "/v1/auth/challenge/solve" => return Self::Solve,
            "/v1/event/create" => return Self::EventCreate,
            "/openapi.json" => return Self::OpenApi,
            _ => {}
        }
        let Some(path) = path.strip_prefix("/v1/") else {
            return Self::Other;
        };
        let mut parts = path.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("vote"), Some(_), Some("status"), None) => Self::VoteStatus,
            (Some("contestants"), Some(_), None, None) => Self::Contestants,
            (Some("event"), Some(_), Some("leaderboard"), None) => Self::Leaderboard,
            (Some("event"), Some(_), Some("stream"), None) => Self::EventStream,
            (Some("event"), Some(_), Some("open"), None) => Self::EventOpen,
            (Some("event"), Some(_), Some("close"), None) => Self::EventClose,
            _ => Self::Other,
        }
    }
}

/// A router that takes its routes from the table.
pub trait Serve<S> {
    #[must_use]
    fn serve<H, T>(self, route: Route, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static;
}

impl<S: Clone + Send + Sync + 'static> Serve<S> for Router<S> {
    fn serve<H, T>(self, route: Route, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let method = match route.verb() {
            Verb::Get => MethodFilter::GET,
            Verb::Post => MethodFilter::POST,
        };
        self.route(route.path(), on(method, handler))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_that_of_its_route() {
        assert_eq!(Route::ALL.len() + 1, Route::COUNT);
        for route in Route::ALL {
            let path = route
                .path()
                .replace("{event_id}", "e1")
                .replace("{vote_id}", "AQ");
            assert_eq!(Route::of(&path), *route, "{path}");
        }
        for other in ["/", "/v1/vote//x", "/v1/event/e1/stream/x", "/v2/vote/submit", ""] {
            assert_eq!(Route::of(other), Route::Other, "{other}");
        }
    }
}
