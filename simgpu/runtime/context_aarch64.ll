; Switch stacks: save the callee-saved registers, store the stack pointer in (x0), continue on x1.
module asm ".text"
module asm ".globl sgpu_switch"
module asm "sgpu_switch:"
module asm "  sub sp, sp, #160"
module asm "  stp x19, x20, [sp, #0]"
module asm "  stp x21, x22, [sp, #16]"
module asm "  stp x23, x24, [sp, #32]"
module asm "  stp x25, x26, [sp, #48]"
module asm "  stp x27, x28, [sp, #64]"
module asm "  stp x29, x30, [sp, #80]"
module asm "  stp d8, d9, [sp, #96]"
module asm "  stp d10, d11, [sp, #112]"
module asm "  stp d12, d13, [sp, #128]"
module asm "  stp d14, d15, [sp, #144]"
module asm "  mov x9, sp"
module asm "  str x9, [x0]"
module asm "  mov sp, x1"
module asm "  ldp x19, x20, [sp, #0]"
module asm "  ldp x21, x22, [sp, #16]"
module asm "  ldp x23, x24, [sp, #32]"
module asm "  ldp x25, x26, [sp, #48]"
module asm "  ldp x27, x28, [sp, #64]"
module asm "  ldp x29, x30, [sp, #80]"
module asm "  ldp d8, d9, [sp, #96]"
module asm "  ldp d10, d11, [sp, #112]"
module asm "  ldp d12, d13, [sp, #128]"
module asm "  ldp d14, d15, [sp, #144]"
module asm "  add sp, sp, #160"
module asm "  ret"
module asm ".globl sgpu_boot"
module asm "sgpu_boot:"
module asm "  mov x0, x19"
module asm "  blr x20"
module asm "  brk #1"
declare void @sgpu_switch(ptr, i64)
declare void @sgpu_boot()

; A new fiber's stack: x19(worker) x20(function) ... x30 at 88(return address).
define internal i64 @prepare(i64 %top, ptr %w) {
  %frame = sub i64 %top, 160
  %p = inttoptr i64 %frame to ptr
  store ptr %w, ptr %p
  %p20 = getelementptr i8, ptr %p, i64 8
  store ptr @sgpu_fiber, ptr %p20
  %p30 = getelementptr i8, ptr %p, i64 88
  store ptr @sgpu_boot, ptr %p30
  ret i64 %frame
}
