// SPDX-License-Identifier: Apache-2.0

// Package twintest helps the tests of the database to run the same transactions
// on Weir and on the stock ovsdb-server: a schema that has everything, a generator
// of random transactions, a stock server in a directory of its own, and a form of
// the results in which the two can be compared. Only tests import it.
package twintest
