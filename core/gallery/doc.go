// Package gallery implements enrolling, searching and unenrolling: which IDs are
// accepted, who may read or change which user, and what a search returns. It works
// over the ports alone and knows neither HTTP nor any database.
package gallery
