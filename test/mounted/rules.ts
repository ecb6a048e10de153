// Every rule there is.

import { type FsxPlan, fsx } from './fsx.ts'
import { posix } from './posix.ts'
import { programs } from './programs.ts'
import { joined, type Rules } from './rule.ts'

export const rulesOf = (plan: { readonly fsx: FsxPlan }): Rules => joined(posix, programs, fsx(plan.fsx))
