// Package fairlimit divides a limited amount, of memory or of requests in progress,
// among clients, so that one client cannot take all of it and a new one finds some free.
package fairlimit
