// Package body reads the bodies of requests with a picture: a JSON object whose member
// face is the picture in base64, or an encrypted one as a token. It bounds their size,
// the time that they take and the memory of all of them together.
package body
