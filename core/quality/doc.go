// Package quality decides whether a picture may be enrolled. A bad template
// matches strangers for as long as it is in the gallery, so each check measures
// something that is known to make templates bad (size, confidence, sharpness,
// pose, a second face) and refuses with its own stable reason.
package quality
