// Package web is what the gateway shows to browsers, and the API that programs ask.
//
// # The page that checks proofs
//
// At /verify anybody checks a proof file. The page is cairn-verify itself as a program for
// browsers, one file of some two megabytes that asks nothing of this gateway or of anybody else once it is there. It is the
// same for everyone and tells nothing of the site, so it needs no token, beyond this machine neither: what a reader
// learns by it is that a gateway answers at this address. A reader who does not trust the gateway takes the page, or the
// command, from elsewhere: the page says how to tell.
//
// The page is made by scripts/page, and make build does so before it builds the gateway. It is not checked in. Without
// it everything compiles as well, and the handler says what is missing.
//
// # The console
//
// Below /console/ are pages, and below /api/v1/ the API that they and other programs ask. The pages are one document,
// a style sheet and some modules, as they lie in this folder: nothing is built, and nothing comes from elsewhere. They hold
// nothing of the site and are the same for everybody; what they show they ask of the API. They make no markup of any text,
// and their policy allows no inline script or style. What draws charts comes from scripts/page/chart.sh; without it there
// are none.
//
// The API is one table (routes.go): each question with its method and path, the least role that may ask it, whether an
// audience may, and the types of question and answer. The mux, the check of who asks and the OpenAPI document are made of
// it, so that what is not in the table is not there, and what is not in the document neither.
//
// Who asks is a user with a session or a program with a token ([Accounts], session.go). A viewer reads everything of the
// site, an operator also acknowledges alerts and announces maintenance, an admin also ends logins and tokens. An audience
// reads what the grants to it open at that moment, hour by hour and compartment by compartment, as if it opened its bundle:
// not the names of devices and places, which are in statements, no alerts, and no other stream. It proves its readings
// without the field device, as the statements that explain that one name the place.
//
// A session's cookie is 256 random bits, HttpOnly and SameSite=Strict, over HTTPS bound to it and to the host; requests of
// other origins are refused besides. Tries to log in are limited by user and by address, and hashing by number, so that
// neither a password nor the memory of a small board can be used up. All that is remembered is bounded: sessions, tries,
// listeners, proofs. No password, name that was typed, token or note is logged, and none is in a URL.
//
// What is asked of the gateway stands in interfaces (api.go) that cmd/cairn implements by the functions behind its commands.
package web
