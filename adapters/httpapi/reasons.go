package httpapi

import (
	"errors"

	"imago/ports"
)

// ReasonCodes are the codes of the sentences that a Refusal can bring, for logs
// and metrics. A refusal whose sentences have none has the code of its status.
type ReasonCodes map[string]string

// Codes returns every code that a refusal can have besides those of
// ReasonCodes. That nobody was found is no refusal.
func Codes() []string {
	codes := []string{clientGone.code, unknown.code}
	for _, v := range verdicts {
		if v.code == codeNoMatch {
			continue
		}
		codes = append(codes, v.code)
	}
	return codes
}

// reasonCodes returns the codes of an error: those of its sentences or, where
// they have none, that of the verdict. Each appears once.
func (s *Server) reasonCodes(v verdict, err error) []string {
	var codes []string
	var refusal *ports.Refusal
	if errors.As(err, &refusal) {
		for _, reason := range refusal.Reasons {
			if code, known := s.codes[reason]; known {
				codes = append(codes, code)
			}
		}
	}
	if len(codes) == 0 {
		codes = append(codes, v.code)
	}
	return codes
}
