// Package records makes the faces that tests of stores enrol: records with vectors of random
// direction, the same in every run. It also looks into the files of the memory store as other
// programs would.
package records
