// Package outage makes two events of the many failures of a part that is lost for a
// while: one when it is lost and one when it is back, with the failures counted.
package outage
