// Package gallery holds the rules of imago's collections: who is enrolled under
// which ID, what a search answers, and when a user is gone. It works over the
// ports alone and knows neither HTTP nor any database.
package gallery
