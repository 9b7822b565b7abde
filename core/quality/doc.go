// Package quality is the gate a picture passes to be enrolled. A bad template
// in a gallery matches strangers for as long as it stays there, so each check
// looks at something that is known to spoil templates (size, confidence,
// sharpness, pose, a second face) and refuses with its own stable reason.
package quality
