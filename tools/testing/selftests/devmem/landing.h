/* SPDX-License-Identifier: GPL-2.0 */
/* On which queues of a device, in another namespace, frames land. */
#ifndef SELFTEST_LANDING_H
#define SELFTEST_LANDING_H

/* landing_open - note the counts of "NETNS:DEV"; exits if there are none */
void landing_open(const char *where);

/* landing_report - wait until @frames have landed, half a minute at most, and
 * print where
 */
void landing_report(int frames);

#endif
