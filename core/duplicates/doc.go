// Package duplicates looks for what goes wrong in a stored gallery: pairs of users who look
// like one person, users whose faces are not one person, and hubs, faces that resemble far
// more users than chance explains. It changes nothing, and sets each number beside the one that
// strangers alone give at the gallery's size.
package duplicates
