package ports

import "time"

// User is what may be told of an enrolled user: never a vector.
type User struct {
	UserID string
	Faces  []UserFace
}

// UserFace is what may be told of one face of a user.
type UserFace struct {
	FaceID     string
	EnrolledAt time.Time
}

// Page is a part of a collection's users in order of their IDs.
type Page struct {
	Users []User
	// Next is the ID with which the next page begins; empty on the last page. It
	// is that of a user whom the client may see.
	Next string
}
