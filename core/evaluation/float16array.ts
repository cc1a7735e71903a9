// Node 24.9 and later has Float16Array: onnxruntime-common 1.30 then makes every float16 tensor one, and its native side sees 0 bytes
// ("not enough space: expected …, got 0"). Without the class float16 is a Uint16Array of bits on every Node. Imported before onnxruntime-node.
Reflect.deleteProperty(globalThis, 'Float16Array')
