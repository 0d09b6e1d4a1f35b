# SPDX-License-Identifier: Apache-2.0
"""What runs a job graph: channels, input gates, tasks of one step(), and executors that call it."""
