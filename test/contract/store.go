package contract

import (
	"testing"
	"time"

	"imago/ports"
)

// StoreHarness tells the suites of VectorStore how to get at the store under
// test. Only Open is required; what a nil hook would check is left out.
type StoreHarness struct {
	// Open returns a fresh, empty store of the given space, ready for use and
	// isolated from every other one. It registers the clean-up with tb.Cleanup
	// and fails tb when it cannot open.
	Open func(tb testing.TB, space ports.Space) ports.VectorStore

	// Reopen closes a store that Open or Reopen returned and opens the same
	// data again, as a new process would, with the space given. It answers the
	// error of opening; the store handed in still names the data then, so that
	// another attempt can be made with it. Nil when nothing survives a close.
	Reopen func(tb testing.TB, s ports.VectorStore, space ports.Space) (ports.VectorStore, error)

	// Second returns one more instance over the data of a store that Open
	// returned, as a second imago beside the first one would have it. Nil when
	// a store's data has a single owner.
	Second func(tb testing.TB, s ports.VectorStore) ports.VectorStore

	// Fill puts many users with one face each into an empty store, by whatever
	// way is faster than Add. Nil means Add.
	Fill func(tb testing.TB, s ports.VectorStore, records []ports.Record)

	// Records is how many records the large cases write; 0 means 2000. It is
	// never taken lower than 50.
	Records int

	// Patience is how long a few calls may take before they count as hung; 0
	// means 30 seconds. Nothing is slower or faster for it.
	Patience time.Duration

	// UniquePerInstance says that NewUser is unique among the calls on one
	// instance only: the backend has no unique keys, and the adapter documents
	// what that means when two instances enrol one user at the same moment.
	UniquePerInstance bool

	// Chips says that the store keeps chips; otherwise it refuses them.
	Chips bool

	// Parallel runs the cases at the same time, as many as the flag -parallel
	// says: they wait for a server more than they work.
	Parallel bool
}

// VectorStore runs the suite that every driver passes behind core/vectorstore.
func VectorStore(t *testing.T, h StoreHarness) {
	runStoreCases(t, h, storeCases(h))
}

// VectorStoreConcurrency runs the suite about many callers at once. It is worth
// most under the race detector.
func VectorStoreConcurrency(t *testing.T, h StoreHarness) {
	runStoreCases(t, h, concurrentStoreCases(h))
}

// storeCase is one promise and the test of it; the test gets no store but the
// harness, because each opens its own.
type storeCase struct {
	name string
	test func(t *testing.T, h StoreHarness)
}

func runStoreCases(t *testing.T, h StoreHarness, cases []storeCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if h.Parallel {
				t.Parallel()
			}
			c.test(t, h)
		})
	}
}

// storeCases is the table of contents of VectorStore.
func storeCases(h StoreHarness) []storeCase {
	cases := []storeCase{
		{"AddFirstTwice", addFirstTwice},
		{"AddFurther", addFurther},
		{"AddFurtherToMissing", addFurtherToMissing},
		{"AddFurtherSameFace", addFurtherSameFace},
		{"AddReplacement", addReplacement},
		{"AddReplacementSameFace", addReplacementSameFace},
		{"AddReplacementOfSeveral", addReplacementOfSeveral},
		{"AddReplacementOfMissing", addReplacementOfMissing},

		{"RemoveUser", removeUser},
		{"RemoveMissing", removeMissing},
		{"RemoveTwice", removeTwice},
		{"RemoveThenAdd", removeThenAdd},
		{"RemoveLeavesOthers", removeLeavesOthers},
		{"UnlikeNewUser", unlikeNewUser},
		{"UnlikeExisting", unlikeExisting},
		{"UnlikeBestOfMany", unlikeBestOfMany},
		{"UnlikeExpired", unlikeExpired},
		{"RemoveFace", removeFace},
		{"RemoveFaceThenCount", removeFaceThenCount},
		{"RemoveFaceMissing", removeFaceMissing},
		{"RemoveOnlyFace", removeOnlyFace},
		{"RemoveFaceOfOwner", removeFaceOfOwner},
		{"CollectionsAreSeparate", collectionsAreSeparate},
		{"RemoveOfOwner", removeOfOwner},
		{"RemoveOfSeveralOwners", removeOfSeveralOwners},
		{"AddIfOwner", addIfOwner},

		{"ChipTooLarge", chipTooLarge},

		{"GetRoundTrip", getRoundTrip},
		{"GetEnrolledAt", getEnrolledAt},
		{"GetOrder", getOrder},
		{"GetMissing", getMissing},
		{"CountUsers", countUsers},
		{"ReadYourWrites", readYourWrites},

		{"SearchEmptyStore", searchEmptyStore},
		{"SearchUnknownCollection", searchUnknownCollection},
		{"SearchMoreThanThere", searchMoreThanThere},
		{"SearchNearest", searchNearest},
		{"SearchOrder", searchOrder},
		{"SearchTies", searchTies},
		{"SearchScores", searchScores},
		{"SearchScoreRange", searchScoreRange},
		{"SearchMinimumInclusive", searchMinimumInclusive},
		{"SearchMinimumComputed", searchMinimumComputed},
		{"SearchBestFace", searchBestFace},
		{"SearchManyFacesLeaveRoom", searchManyFacesLeaveRoom},
		{"SearchLargestK", searchLargestK},
		{"SearchExactAtRandom", searchExactAtRandom},
		{"SearchRealVectors", searchRealVectors},

		{"ScanEmpty", scanEmpty},
		{"ScanOrder", scanOrder},
		{"ScanFrom", scanFrom},
		{"ScanBreak", scanBreak},
		{"ScanMany", scanMany},
		{"ScanDuringWrites", scanDuringWrites},
		{"ScanOfOwner", scanOfOwner},
		{"ScanOfNobody", scanOfNobody},
		{"ScanWithoutVectors", scanWithoutVectors},
		{"ScanCancelled", scanCancelled},

		{"MemoryVectorIn", memoryVectorIn},
		{"MemoryVectorUntouched", memoryVectorUntouched},
		{"MemoryGet", memoryGet},
		{"MemoryScan", memoryScan},
		{"MemorySearch", memorySearch},

		{"InvalidVectorAdded", invalidVectorAdded},
		{"InvalidVectorSearched", invalidVectorSearched},
		{"NearUnitVectors", nearUnitVectors},
		{"InvalidUserID", invalidUserID},
		{"InvalidFaceID", invalidFaceID},
		{"InvalidRemoval", invalidRemoval},
		{"InvalidUnlike", invalidUnlike},
		{"InvalidCollection", invalidCollection},
		{"InvalidMode", invalidMode},
		{"InvalidOwners", invalidOwners},
		{"InvalidK", invalidK},
		{"InvalidMinimum", invalidMinimum},
		{"AwkwardUserIDs", awkwardUserIDs},
		{"AwkwardFaceIDs", awkwardFaceIDs},
		{"AwkwardOwners", awkwardOwners},

		{"ExpiryIsKept", expiryIsKept},
		{"ExpiryOfAllFaces", expiryOfAllFaces},
		{"ExpiryReplaced", expiryReplaced},
		{"ExpiredIsAbsent", expiredIsAbsent},
		{"ExpiredAtTheMoment", expiredAtTheMoment},
		{"ExpiredByRetention", expiredByRetention},
		{"ExpiredMakesRoom", expiredMakesRoom},
		{"ExpiredAmongTheNearest", expiredAmongTheNearest},
		{"ExpiredAreListed", expiredAreListed},
		{"ExpireRemoves", expireRemoves},

		{"CancelledWrites", cancelledWrites},
		{"CancelledReads", cancelledReads},
		{"DeadlinePassed", deadlinePassed},
	}
	if !h.Chips {
		cases = append(cases, storeCase{"ChipRefused", chipRefused})
	} else {
		cases = append(cases, chipCases(h)...)
	}
	if h.Reopen != nil {
		cases = append(cases, []storeCase{
			{"ReopenKeepsData", reopenKeepsData},
			{"ReopenKeepsChanges", reopenKeepsChanges},
			{"ReopenKeepsExpiries", reopenKeepsExpiries},
			{"ReopenOtherSpace", reopenOtherSpace},
			{"ReopenRenamedModel", reopenRenamedModel},
		}...)
	}
	if h.Second != nil {
		cases = append(cases, []storeCase{
			{"SecondSeesWrites", secondSeesWrites},
			{"SecondSeesRemovals", secondSeesRemovals},
			{"SecondSeesExpiries", secondSeesExpiries},
		}...)
	}
	return cases
}

// concurrentStoreCases is the table of contents of VectorStoreConcurrency.
func concurrentStoreCases(h StoreHarness) []storeCase {
	cases := []storeCase{
		{"ConcurrentFirst", concurrentFirst},
		{"ConcurrentFurther", concurrentFurther},
		{"ConcurrentReplacement", concurrentReplacement},
		{"ConcurrentMixture", concurrentMixture},
		{"ConcurrentOwners", concurrentOwners},
		{"ConcurrentOverExpired", concurrentOverExpired},
		{"ConcurrentExpiry", concurrentExpiry},
		{"ConcurrentHistory", concurrentHistory},
		{"ConcurrentFaceRemovals", concurrentFaceRemovals},
		{"ConcurrentUnlike", concurrentUnlike},
	}
	if h.Second != nil && !h.UniquePerInstance {
		cases = append(cases, storeCase{"ConcurrentFirstOfTwoInstances", concurrentFirstOfTwoInstances})
	}
	return cases
}
