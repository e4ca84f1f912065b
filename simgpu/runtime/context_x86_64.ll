; Switch stacks: save the callee-saved registers, store the stack pointer in (rdi), continue on rsi.
module asm ".text"
module asm ".globl sgpu_switch"
module asm "sgpu_switch:"
module asm "  pushq %rbp"
module asm "  pushq %rbx"
module asm "  pushq %r12"
module asm "  pushq %r13"
module asm "  pushq %r14"
module asm "  pushq %r15"
module asm "  movq %rsp, (%rdi)"
module asm "  movq %rsi, %rsp"
module asm "  popq %r15"
module asm "  popq %r14"
module asm "  popq %r13"
module asm "  popq %r12"
module asm "  popq %rbx"
module asm "  popq %rbp"
module asm "  retq"
module asm ".globl sgpu_boot"
module asm "sgpu_boot:"
module asm "  movq %r12, %rdi"
module asm "  callq *%r13"
module asm "  ud2"
declare void @sgpu_switch(ptr, i64)
declare void @sgpu_boot()

; A new fiber's stack: r15 r14 r13(function) r12(worker) rbx rbp return-address.
define internal i64 @prepare(i64 %top, ptr %w) {
  %frame = sub i64 %top, 56
  %p = inttoptr i64 %frame to ptr
  %p13 = getelementptr i8, ptr %p, i64 16
  store ptr @sgpu_fiber, ptr %p13
  %p12 = getelementptr i8, ptr %p, i64 24
  store ptr %w, ptr %p12
  %pret = getelementptr i8, ptr %p, i64 48
  store ptr @sgpu_boot, ptr %pret
  ret i64 %frame
}
